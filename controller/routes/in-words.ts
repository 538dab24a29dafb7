import type { FastifySchemaValidationError } from "fastify/types/schema.js";

/** What a request does wrong, with the name of the value. */
export function inWords(
  error: FastifySchemaValidationError & { parentSchema?: object },
  part: string,
): string {
  const { keyword, instancePath, params, message, parentSchema = {} } = error;
  const at = instancePath.slice(1).replaceAll("/", ".") || part;
  const { additionalProperty, missingProperty, allowedValues } = params as Record<string, string | string[]>;
  if (keyword === "additionalProperties") {
    const { properties = {} } = parentSchema as { properties?: object };
    const known = Object.keys(properties).join(", ");
    const what = part === "querystring" ? "unknown parameter" : `${at}: unknown key`;
    return `${what} '${String(additionalProperty)}'${known && `; there are ${known}`}`;
  }
  if (keyword === "required") return `${at}: '${String(missingProperty)}' is missing`;
  if (keyword === "enum") return `${at}: expected one of ${[allowedValues ?? []].flat().join(", ")}`;
  if (keyword === "pattern") return `${at}: there are characters in it that may not be there, such as blanks`;
  return `${at}: ${message ?? "not as expected"}`;
}
