// House rules that neither prettier nor tsc knows.
export default [
  {
    files: ['avnb/static/*.js'],
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-len': ['error', { code: 120 }],
      'max-lines-per-function': ['error', { max: 40, skipComments: true, skipBlankLines: true }],
      'no-shadow': 'error',
      'one-var': ['error', 'never'],
      'prefer-const': 'error'
    }
  }
];
