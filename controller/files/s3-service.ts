/**
 * A bucket of an S3-compatible service, and how it is spoken to. The library is loaded only where it is configured: it takes
 * 37 MB of memory.
 *
 * Each request has a time limit, also one that stands still amidst its answer, and is repeated by the library where the
 * service is busy or the connection breaks. What is sent is in memory, a part at a time, as a stream cannot be repeated.
 */
import type { S3Client } from "@aws-sdk/client-s3";
import type * as Library from "@aws-sdk/client-s3";
import { Failure, reasonOf } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";

/** As the configuration has it; what is not said there, the library finds in the environment (`AWS_…`). */
export interface S3Place {
  bucket: string;
  /** Empty, or with a slash at its end. */
  prefix: string;
  endpoint?: string;
  region?: string;
  accessKey?: string;
  secretKey?: string;
}

/** For how long a service may say nothing, and how often it is asked before that is an error. */
interface S3Patience {
  silentMs: number;
  attempts: number;
}

const usualPatience: S3Patience = { silentMs: 30_000, attempts: 4 };

/** A bucket that can be asked. */
export interface S3Service extends Disposable {
  readonly library: typeof Library;
  readonly client: S3Client;
  readonly place: S3Place;
  readonly silentMs: number;
  /** For how long a request may take in all that gets no answer. */
  readonly patienceMs: number;
}

/** Loads the library and prepares to speak to the service; nothing is asked of it yet. */
export async function reachS3(place: S3Place, patience = usualPatience): Promise<S3Service> {
  const library = await import("@aws-sdk/client-s3");
  const { silentMs, attempts } = patience;
  const { endpoint, region, accessKey, secretKey } = place;
  const client = new library.S3Client({
    ...withoutUndefined({ endpoint, region: region ?? regionInstead(endpoint) }),
    ...(accessKey !== undefined && {
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey ?? "" },
    }),
    // A bucket's name in front of the host's is for services that have a name for each
    forcePathStyle:
      (endpoint ?? process.env["AWS_ENDPOINT_URL_S3"] ?? process.env["AWS_ENDPOINT_URL"]) !== undefined,
    // Others than Amazon's do not know the checksums that it would add
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: attempts,
    requestHandler: {
      connectionTimeout: Math.min(silentMs, 5000),
      requestTimeout: silentMs,
      // The former ends with the head of an answer
      socketTimeout: silentMs,
      throwOnRequestTimeout: true,
    },
  });
  const patienceMs = silentMs * attempts;
  return { library, client, place, silentMs, patienceMs, [Symbol.dispose]: () => client.destroy() };
}

/** Services of one's own have none, but a request is signed for one. */
function regionInstead(endpoint: string | undefined): string | undefined {
  const isTold = process.env["AWS_REGION"] !== undefined || process.env["AWS_DEFAULT_REGION"] !== undefined;
  return endpoint === undefined || isTold ? undefined : "us-east-1";
}

/** The same for people: `s3://BUCKET/PREFIX`. */
export function s3Name({ bucket, prefix }: S3Place): string {
  return `s3://${bucket}/${prefix}`.replace(/\/$/, "");
}

/** Whether an error says that there is no such thing (which may be an upload that the service has lost). */
export function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  return (
    name !== "NoSuchBucket" && ($metadata?.httpStatusCode === 404 || /^NoSuch(Key|Upload)$/.test(name ?? ""))
  );
}

/** What went wrong, in the service's words; those that have none have a name. */
export function s3Reason(error: unknown): string {
  const { name = "", $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  const said = reasonOf(error);
  const words = said === "" || said === "UnknownError" || said === name ? name : `${said} (${name})`;
  return status === undefined ? words : `${words}, status ${status}`;
}

/**
 * Looks whether the bucket is there and may be used.
 *
 * @throws {Failure} saying what is wrong.
 */
export async function checkBucket({ library, client, place }: S3Service): Promise<void> {
  try {
    await client.send(new library.HeadBucketCommand({ Bucket: place.bucket }));
  } catch (error) {
    const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
    const status = $metadata?.httpStatusCode;
    const reason =
      status === 404
        ? "there is no such bucket"
        : status === 403
          ? "the service refuses these credentials"
          : s3Reason(error);
    throw new Failure(`use the storage '${s3Name(place)}'`, reason, {
      cause: error,
      hints: [
        "Endpoint, region and keys are those of 's3' in the configuration, else of AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.",
      ],
    });
  }
}
