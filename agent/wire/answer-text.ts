/** An answer of a controller, or of something before it, in one line for a message. */
import { ManifestError } from "../../manifests/error.ts";
import { ManifestReader } from "../../manifests/text/reader.ts";

/** An answer of a controller. */
export interface Answer {
  status: number;
  body: Buffer;
  headers: Record<string, string | string[] | undefined>;
}

const longest = 2000;

/** All values of a manifest; the error of our controller's JSON; the title of a page; else the text; perhaps empty. */
export function textOfAnswer({ body, headers }: Pick<Answer, "body" | "headers">): string {
  const text = body.subarray(0, 4 * longest).toString("utf8");
  const type = String(headers["content-type"] ?? "").toLowerCase();
  const words = type.startsWith("text/manifest")
    ? manifestWords(body.subarray(0, 4 * longest))
    : type.startsWith("application/json")
      ? jsonWords(text)
      : type.startsWith("text/html")
        ? (/<(title|h1)[^>]*>([^<]*)</i.exec(text)?.[2] ?? "")
        : text;
  const line = words.replace(/\s+/g, " ").trim();
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}

function manifestWords(body: Uint8Array): string {
  const pairs: string[] = [];
  try {
    const reader = new ManifestReader(({ name, value }) => {
      if (name !== "") pairs.push(`${name}: ${value}`);
    });
    reader.push(body);
    reader.end();
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error; // what came before the mistake, or the cut, is worth telling
  }
  return pairs.join("; ");
}

function jsonWords(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === "string" ? error : text;
  } catch {
    return text;
  }
}
