/**
 * Contrast of the text in a page, as the browser shows it: the ratio of WCAG 2.2, 1.4.3. It runs in the page; each kind of
 * element is told once for each ratio.
 */
export function shownTexts() {
  const found = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility()) continue;
    const { text, ground } = painted(element, colourOf(getComputedStyle(element).color));
    const [dark, light] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    const where = `${element.localName}.${element.className} in .${element.parentElement.className}`;
    found.set(`${where} ${ratio}`, { where, text: node.textContent.trim().slice(0, 40), ratio });
  }
  return [...found.values()];

  /** What text and background of an element come out as, with all that lies below it. */
  function painted(element, text) {
    const { backgroundColor, opacity } = getComputedStyle(element);
    const below = element.parentElement ? painted(element.parentElement, text).ground : [255, 255, 255];
    const ground = over(colourOf(backgroundColor), below);
    return {
      text: over([...over(text, ground), Number(opacity)], below),
      ground: over([...ground, Number(opacity)], below),
    };
  }

  /** From `rgb(…)` or `color(srgb …)`: red, green and blue up to 255, and alpha up to 1. */
  function colourOf(text) {
    const [red = 0, green = 0, blue = 0, alpha = 1] = text.match(/[\d.]+(?:e-?\d+)?/g).map(Number);
    const scale = text.startsWith("color(srgb") ? 255 : 1;
    return [red * scale, green * scale, blue * scale, alpha];
  }

  function over([red, green, blue, alpha], below) {
    return [red, green, blue].map((value, at) => value * alpha + below[at] * (1 - alpha));
  }

  function luminance(colour) {
    const [red, green, blue] = colour.map((value) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
}
