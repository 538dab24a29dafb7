/** What the demo shows: headings, lines, a log that passes by, and what is being waited for. */
import { progress, type Progress } from "../setup/steps.js";

const terminal = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;
const bold = (text: string) => (terminal ? `\x1b[1m${text}\x1b[0m` : text);

export class Screen {
  #progress: Progress | undefined;

  heading(text: string): void {
    this.#write(`\n${bold(`=== ${text}`)}\n`);
  }

  line(text: string): void {
    this.#write(`${text}\n`);
  }

  /** Text of others as it comes. */
  pass(text: string | Uint8Array): void {
    this.#write(text);
  }

  table(rows: readonly (readonly string[])[]): void {
    const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
    rows.forEach((row, index) => {
      const text = row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd();
      this.line(`  ${index === 0 ? bold(text) : text}`);
    });
  }

  /** Shows what is waited for while an action takes longer than two seconds. */
  async during<T>(title: string, action: (show: Progress) => Promise<T>): Promise<T> {
    const show = progress(title, { stream: process.stdout });
    this.#progress = show;
    try {
      return await action(show);
    } finally {
      show.end();
      this.#progress = undefined;
    }
  }

  #write(text: string | Uint8Array): void {
    this.#progress?.giveWay();
    process.stdout.write(text);
  }
}
