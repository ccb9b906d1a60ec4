// One sentence when the kernel is gone.
/** @import { Model } from './types.js' */
import { make } from './elements.js';
import { whenGone } from './kernel.js';

const GONE = 'The kernel is gone: what has been shown stays, the controls do not answer. Run the cell again.';

export default {
  /** @param {{ model: Model, el: HTMLElement }} view */
  render({ model, el }) {
    const line = make('p', { class: 'avnb-gone', role: 'alert' });
    el.append(line);
    return whenGone(model, line, () => (line.textContent = GONE));
  }
};
