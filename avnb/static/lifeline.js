// One sentence when the kernel is gone.
export default {
  render({ model, el }) {
    const p = document.createElement('p'); p.className = 'avnb-gone'; p.setAttribute('role', 'alert'); el.append(p)
    return whenGone(model, p, () => { p.textContent = 'The kernel is gone: what has been shown stays, the controls do not answer. Run the cell again.' })
  }
}
