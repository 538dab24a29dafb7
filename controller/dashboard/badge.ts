/** Badges: a picture of a package's state for a README, whole in itself. */
import type { ResultStatus } from "../../manifests/result-status.ts";
import { html } from "./html.ts";

/** White on each can be read: a contrast of 4.5 at least. */
const colours: Record<ResultStatus | "none", string> = {
  skip: "#187440",
  success: "#187440",
  warning: "#8c5b00",
  error: "#bc2a30",
  abort: "#bc2a30",
  abnormal: "#bc2a30",
  interrupt: "#5b6862",
  none: "#5b6862",
};

const height = 20;
const padding = 6;

/** A badge; undefined stands for a package that nothing is known of yet. */
export function badge(label: string, status: ResultStatus | undefined): string {
  const value = status ?? "no build yet";
  const [left, right] = [widthOf(label), widthOf(value)];
  const names = left + 2 * padding;
  const width = names + right + 2 * padding;
  const text = (x: number, length: number, content: string) =>
    html`<text x="${x}" y="14" textLength="${length}" lengthAdjust="spacingAndGlyphs">${content}</text>`;
  return html`<svg
    xmlns="http://www.w3.org/2000/svg"
    width="${width}"
    height="${height}"
    role="img"
    aria-label="${label}: ${value}"
  >
    <title>${label}: ${value}</title>
    <clipPath id="corners"><rect width="${width}" height="${height}" rx="3" /></clipPath>
    <g clip-path="url(#corners)">
      <rect width="${names}" height="${height}" fill="#3b4440" />
      <rect x="${names}" width="${width - names}" height="${height}" fill="${colours[status ?? "none"]}" />
    </g>
    <g fill="#fff" font-family="Verdana,'DejaVu Sans',Geneva,sans-serif" font-size="11">
      ${text(padding, left, label)} ${text(names + padding, right, value)}
    </g>
  </svg>`.text;
}

/** About what the text takes in Verdana of 11 pixels; it is drawn as wide as this says, whatever font there is. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/[iIjl.,:;'|!]/.test(character)) width += 4;
    else if (/[frt()\s-]/.test(character)) width += 5;
    else if (/[mwMW@%]/.test(character)) width += 11;
    else if (/[^\0-\x7f]/.test(character)) width += 11;
    else width += /[A-Z]/.test(character) ? 8 : 7;
  }
  return width;
}
