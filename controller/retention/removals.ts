/**
 * Removals of blobs from their storage, by the rules of ../files/blobs.ts: each is written down before the storage is asked, and
 * forgotten when it cannot be carried out any more.
 */
import { blobName, type BlobStorage, type StoredAs } from "../files/blob-storage.ts";
import type { Database } from "../database/database.ts";

/** Asked for at a time. */
const removedAtOnce = 50;
/** What a service was asked more than once it is not to carry out any more after so long. */
const unsettledFor = "interval '1 day'";

/** Carries out what was written down and is not over: of a controller that was killed, or that got no answer. */
export async function finishRemovals(database: Database, storage: BlobStorage): Promise<void> {
  let from: StoredAs = { digest: "", generation: 0 };
  for (;;) {
    const page = await database.query<StoredAs>(
      `select digest, generation from croft.removals where (digest, generation) > ($1, $2::integer)
       order by digest, generation limit ${removedAtOnce}`,
      [from.digest, from.generation],
    );
    if (page.length === 0) return;
    await carryOut(database, storage, page);
    from = page.at(-1)!;
  }
}

/**
 * Removes from the storage what is written down. One that was asked for once, and answered, is over; any other may be carried
 * out again later.
 */
export async function carryOut(
  database: Database,
  storage: BlobStorage,
  removals: readonly StoredAs[],
): Promise<void> {
  await database.query(
    `update croft.removals r set sends = sends + 1 from ${given} where ${isGiven}`,
    columns(removals),
  );
  const answers = await Promise.allSettled(removals.map((one) => storage.remove(blobName(one))));
  const settled = removals.filter((_, at) => {
    const answer = answers[at]!;
    return answer.status === "fulfilled" && answer.value;
  });
  await database.query(
    `delete from croft.removals r using ${given}
     where ${isGiven} and (r.sends = 1 or r.began_at < now() - ${unsettledFor})`,
    columns(settled),
  );
  const refused = answers.find(({ status }) => status === "rejected") as PromiseRejectedResult | undefined;
  if (refused) throw refused.reason;
}

const given = "unnest($1::text[], $2::integer[]) as given (digest, generation)";
const isGiven = "r.digest = given.digest and r.generation = given.generation";

function columns(removals: readonly StoredAs[]): unknown[] {
  return [removals.map(({ digest }) => digest), removals.map(({ generation }) => generation)];
}

/**
 * Writes down the removal of blobs whose digests have rows of another generation: nobody reads them. Those rows are held
 * meanwhile, so that none of these can be stored anew under its name.
 */
export async function writeDownStrays(database: Database, blobs: readonly StoredAs[]): Promise<void> {
  if (blobs.length === 0) return;
  await database.query(
    `insert into croft.removals (digest, generation)
     select given.digest, given.generation from ${given} join croft.blobs r on r.digest = given.digest
     where r.generation <> given.generation for key share of r on conflict do nothing`,
    columns(blobs),
  );
}
