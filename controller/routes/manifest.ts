/** What is wrong with a manifest that came in. */
import type { FastifyReply } from "fastify";
import { ManifestError } from "../../manifests/error.ts";
import { shownValueMaxCharacters } from "../../manifests/limits.ts";
import { refuse } from "./served.ts";

/** A manifest that is in order but for the size of something in it. */
export class TooMuch extends Error {}

/** What is kept in the database and shown in every list has bounds; logs have their own. */
export function checkLength(name: string, value = ""): void {
  if (value.length > shownValueMaxCharacters)
    throw new TooMuch(`the value of '${name}' is longer than ${shownValueMaxCharacters} characters`);
}

/** Answers for what the sender did wrong; throws anything else. */
export function refuseManifest(reply: FastifyReply, error: unknown) {
  if (!(error instanceof ManifestError || error instanceof TooMuch)) throw error;
  return refuse(reply, 400, `invalid manifest: ${error.message}`);
}
