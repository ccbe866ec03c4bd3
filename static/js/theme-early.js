// A classic script on purpose: it runs before the first paint, so a chosen theme never flashes the other one.
const chosenTheme = localStorage.getItem("softswitch.theme");
if (chosenTheme) document.documentElement.dataset.theme = chosenTheme;
