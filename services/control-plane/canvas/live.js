// Shows the page anew when a file of the canvas changes.
(() => {
  const here = document.currentScript.src;
  const changes = new EventSource(here.replace(/\/live\.js$/, "/live"));
  changes.addEventListener("reload", () => {
    // A page that knows how to show its own changes says so by taking the event.
    const event = new CustomEvent("canvaschange", { cancelable: true });
    if (window.dispatchEvent(event)) location.reload();
  });
})();
