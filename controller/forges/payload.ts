/** Reads payloads: what of them is used must be there and of its type; everything else may be anything. */
import { Compile } from "typebox/compile";
import Type, { type Static, type TSchema } from "typebox";
import { commitPattern, PayloadError } from "./event.ts";

export const text = Type.String();
export const commit = Type.String({ pattern: commitPattern.source });
export const fullName = Type.String({ minLength: 1, maxLength: 1000 });

/** There, or null, or not at all. */
export const maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

/** A reader of payloads of one kind. */
export function payloadReader<T extends TSchema>(schema: T): (payload: unknown) => Static<T> {
  const validator = Compile(schema);
  return (payload) => {
    if (validator.Check(payload)) return payload as Static<T>;
    const [error] = validator.Errors(payload);
    const { requiredProperties } = (error?.params ?? {}) as { requiredProperties?: string[] };
    const path = (error?.instancePath ?? "").slice(1).replaceAll("/", ".");
    const name = [path, requiredProperties?.[0]].filter((part) => part).join(".");
    throw new PayloadError(`its '${name}' is missing, or not as expected`);
  };
}

/** The first line of a message, for a list. */
export function firstLine(message: string | null | undefined): string {
  return (message ?? "").split("\n", 1)[0]!.slice(0, 200);
}
