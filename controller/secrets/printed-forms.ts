/** In which forms a secret is looked for in what a build prints. */

/** Shorter ones would be found in every word. */
export const shortestSecret = 8;

/** The longest first, so that a shorter one does not hide the middle of a longer one. */
export function printedForms(secrets: readonly string[]): string[] {
  const forms = new Set<string>();
  for (const secret of secrets) {
    for (const text of [secret, ...secret.split(/\r?\n/)]) addForms(forms, text.trim());
    addForms(forms, secret);
  }
  return [...forms].sort((one, other) => other.length - one.length);
}

function addForms(forms: Set<string>, text: string): void {
  if (text.length < shortestSecret) return;
  forms.add(text);
  forms.add([...text].reverse().join(""));
  forms.add(encodeURIComponent(text));
  forms.add(encodeURIComponent(text).replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()));
  forms.add(JSON.stringify(text).slice(1, -1));
  forms.add(text.replaceAll("'", `'\\''`)); // as shells show words
  const hex = Buffer.from(text).toString("hex");
  forms.add(hex);
  forms.add(hex.toUpperCase());
  for (const base64 of encodedWithin(text)) {
    forms.add(base64);
    forms.add(base64.replaceAll("+", "-").replaceAll("/", "_"));
  }
}

/** What stays the same of a text's base64, whatever stands before and behind it: with 0, 1 or 2 bytes before it, and 3 more. */
function encodedWithin(text: string): string[] {
  const bytes = Buffer.from(text);
  return [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .replace(/=+$/, "");
    const end = Math.floor(((before + bytes.length) * 8) / 6);
    return encoded.slice(Math.ceil((before * 8) / 6), end);
  });
}
