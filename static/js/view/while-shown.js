/** Lists that are kept fresh while they are looked at. */

/**
 * Return what a view is told with: whether it is shown.
 * @param {() => void} load asks the switch again; called every `everyMs` while the view is shown.
 * @param {() => void} first called in its place when the view comes to be shown.
 */
export function whileShown(load, everyMs, first = load) {
  let timer;
  return (shown) => {
    clearInterval(timer);
    if (!shown) return;
    first();
    timer = setInterval(load, everyMs);
  };
}
