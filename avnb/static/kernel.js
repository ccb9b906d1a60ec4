/** @import { Model } from './types.js' */

/**
 * Calls `say` when the kernel behind a widget has gone: restarted, died or shut down. A page without a kernel never
 * calls.
 * @param {Model} model
 * @param {HTMLElement} root  of the view
 * @param {() => void} say
 * @returns {() => void}  undoes it
 */
export function whenGone(model, root, say) {
  const kernel = model.widget_manager?.kernel;
  const over = () => say();
  const status = (/** @type {unknown} */ _, /** @type {string} */ now) => {
    if (['restarting', 'autorestarting', 'terminating', 'dead'].includes(now)) say();
  };
  const cut = () => {
    setTimeout(() => {
      if (root.closest('.jupyter-widgets-disconnected')) say();
    });
  };
  model.on('comm_live_update', cut);
  kernel?.statusChanged?.connect(status);
  kernel?.disposed?.connect(over);
  return () => {
    model.off('comm_live_update', cut);
    kernel?.statusChanged?.disconnect(status);
    kernel?.disposed?.disconnect(over);
  };
}
