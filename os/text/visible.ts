/** Characters that turn the direction of what follows, for use in a class of a regular expression. */
export const turning = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069";

const hidden = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A name with escapes such as `\\u202e` for what would not be seen, or turn the direction of what follows. */
export function visible(name: string): string {
  return name.replace(hidden, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
