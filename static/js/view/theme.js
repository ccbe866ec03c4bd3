/** Light or dark: the system's choice until the person makes their own. */

const SLOT = "softswitch.theme";

export function wireTheme(button) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem(SLOT, next);
    document.dispatchEvent(new Event("themechange"));
  });
  dark.addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
}
