/** Tab lists as the ARIA practices describe them: one tab stop, arrows move, Home and End jump. */

/**
 * Wire a tab list whose tabs name their panels by aria-controls.
 * @param {HTMLElement} list
 * @param {(panelId: string) => void} [shown] told about every change, and about the first panel.
 * @returns {(panelId: string) => void} shows a panel from outside.
 */
export function wireTabs(list, shown = () => {}) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

  function select(chosen) {
    for (const tab of tabs) {
      const on = tab === chosen;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      panelOf(tab).hidden = !on;
    }
    // On a phone the list of tabs is wider than the screen.
    if (list.scrollWidth > list.clientWidth) chosen.scrollIntoView({ block: "nearest", inline: "nearest" });
    shown(panelOf(chosen).id);
  }

  const moves = {
    ArrowRight: (at) => (at + 1) % tabs.length,
    ArrowLeft: (at) => (at + tabs.length - 1) % tabs.length,
    Home: () => 0,
    End: () => tabs.length - 1,
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      const next = tabs[move(tabs.indexOf(tab))];
      select(next);
      next.focus();
    });
  }
  select(tabs.find((tab) => tab.getAttribute("aria-selected") === "true") ?? tabs[0]);
  return (panelId) => {
    const tab = tabs.find((each) => panelOf(each).id === panelId);
    if (tab) select(tab);
  };
}
