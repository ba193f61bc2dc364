/* What the theme makes while a page loads: boxes that scroll are reached by the keyboard, and the tools of each block of
   code have a name of their own. */
function reach() {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Table");
  }
  document.querySelectorAll("nav.md-code__nav").forEach((tools, number) => {
    const name = `Block of code ${number + 1}`;
    if (tools.getAttribute("aria-label") !== name) tools.setAttribute("aria-label", name);
  });
}
new MutationObserver(reach).observe(document.documentElement, { childList: true, subtree: true });
document.addEventListener("DOMContentLoaded", reach);
