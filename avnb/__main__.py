"`python -m avnb` is the `avnb` command, for torchrun and for environments whose scripts are not on the path."
from avnb.cli import main

if __name__ == '__main__':
    raise SystemExit(main())
