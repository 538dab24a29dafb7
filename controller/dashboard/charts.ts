/** Charts as SVG in the page: drawn here, in the colours of the page, with what they say in words. */
import { html, type Markup } from "./html.ts";

/** One bar, from the bottom up. */
interface Bar {
  /** What stands below it. */
  label: string;
  good: number;
  doubtful: number;
  bad: number;
  /** Shown by who points at it. */
  title: string;
}

const barWidth = 44;
const barHeight = 80;

/** Bars side by side, the highest as high as the chart; `summary` says the same to who does not see it. */
export function barChart(bars: readonly Bar[], summary: string): Markup {
  const most = Math.max(1, ...bars.map(({ good, doubtful, bad }) => good + doubtful + bad));
  const width = Math.max(1, bars.length) * barWidth;
  const drawn = bars.map(({ label, good, doubtful, bad, title }, index) => {
    let top = barHeight;
    const part = (kind: string, count: number) => {
      const height = round((count / most) * barHeight);
      top = round(top - height);
      return (
        count > 0 &&
        html`<rect
          class="${kind}"
          x="${index * barWidth + 6}"
          y="${top}"
          width="${barWidth - 12}"
          height="${height}"
        />`
      );
    };
    return html`<g>
      <title>${title}</title>
      <rect class="ground" x="${index * barWidth + 6}" y="0" width="${barWidth - 12}" height="${barHeight}" />
      ${part("good", good)} ${part("doubtful", doubtful)} ${part("bad", bad)}
      <text x="${index * barWidth + barWidth / 2}" y="${barHeight + 14}" text-anchor="middle">${label}</text>
    </g>`;
  });
  return html`<svg class="chart" viewBox="0 0 ${width} ${barHeight + 18}" role="img" aria-label="${summary}">
    ${drawn}
  </svg>`;
}

/** A point of a line. */
interface Point {
  value: number;
  kind: "good" | "doubtful" | "bad";
  title: string;
}

const lineWidth = 300;
const lineHeight = 56;
/** Left of the line stands what the highest value is. */
const scaleWidth = 34;
const [highest, zero] = [8, lineHeight - 8];

/** Values from left to right, each a dot; from zero up to the highest, which is written beside it. */
export function lineChart(
  points: readonly Point[],
  summary: string,
  written: (value: number) => string,
): Markup {
  const most = Math.max(1, ...points.map(({ value }) => value));
  const [first, last] = [scaleWidth + 6, lineWidth - 6];
  const at = (index: number) =>
    round(points.length < 2 ? (first + last) / 2 : first + (index / (points.length - 1)) * (last - first));
  const high = (value: number) => round(zero - (value / most) * (zero - highest));
  const path = points.map(({ value }, index) => `${at(index)},${high(value)}`).join(" ");
  const mark = (height: number, value: number) =>
    html`<line x1="${scaleWidth}" y1="${height}" x2="${lineWidth}" y2="${height}" />
      <text x="${scaleWidth - 4}" y="${height + 3}" text-anchor="end">${written(value)}</text>`;
  return html`<svg
    class="chart line"
    viewBox="0 0 ${lineWidth} ${lineHeight}"
    role="img"
    aria-label="${summary}"
  >
    ${mark(highest, most)} ${mark(zero, 0)}
    <polyline points="${path}" />
    ${points.map(({ value, kind, title }, index) => html`<circle class="${kind}" cx="${at(index)}" cy="${high(value)}" r="2.5"><title>${title}</title></circle>`)}
  </svg>`;
}

/** A stretch of time. */
export interface Stretch {
  from: number;
  to: number;
  kind: "waits" | "good" | "doubtful" | "bad" | "runs";
  title: string;
}

/** What followed what, from the first to the last. */
export function timeline(stretches: readonly Stretch[], summary: string): Markup {
  const start = Math.min(...stretches.map(({ from }) => from));
  const length = Math.max(1, Math.max(...stretches.map(({ to }) => to)) - start);
  const percent = (time: number) => round((time / length) * 100);
  return html`<svg class="timeline" width="100%" height="18" role="img" aria-label="${summary}">
    ${stretches.map(({ from, to, kind, title }) => html`<rect class="${kind}" x="${percent(from - start)}%" y="0" width="${Math.max(0.3, percent(to - from))}%" height="18"><title>${title}</title></rect>`)}
  </svg>`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
