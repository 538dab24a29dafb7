/** The end of a copy that has the revision. */
import { formatBytes } from "../../os/text/size.ts";
import { blockAt, blockBytes, dataBytesOf, digestBytes, digestOf, segmentsOf } from "./blocks.ts";
import {
  answerSchema,
  doneSchema,
  greetingSchema,
  Misunderstanding,
  protocolVersion,
  type Conversation,
} from "./conversation.ts";
import type { RevisionFile } from "./files.ts";

interface SendOptions {
  name: string;
  /** Of the revision. */
  id: string;
  files: readonly RevisionFile[];
  onStep: (step: string) => void;
  signal: AbortSignal;
}

/** What became of it. */
interface Sent {
  /** Where it is at the other end. */
  path: string;
  /** It was there before. */
  wasThere: boolean;
  /** Of the files, without zeros, and of that what had to be sent. */
  dataBytes: number;
  newBytes: number;
}

const progressSeconds = 2;

/**
 * Sends a revision.
 *
 * @throws {Misunderstanding} if the other end does not take it.
 */
export async function sendRevision(conversation: Conversation, options: SendOptions): Promise<Sent> {
  const { name, id, files, onStep } = options;
  const greeting = await conversation.receive("a greeting of croft", greetingSchema);
  if (greeting["croft-machine-receive"] !== protocolVersion)
    throw new Misunderstanding(`it has croft ${greeting.croft}, whose copies are of another kind`);
  const offered = files.map(({ name: file, bytes, descriptor }) => {
    return { name: file, bytes, dataBytes: dataBytesOf(descriptor, bytes) };
  });
  await conversation.say({ name, id, files: offered });
  const { there } = await conversation.receive("an answer", answerSchema);
  if (there !== undefined) return { path: there, wasThere: true, dataBytes: 0, newBytes: 0 };
  const done = { dataBytes: 0, newBytes: 0 };
  const whole = formatBytes(offered.reduce((sum, { dataBytes }) => sum + dataBytes, 0));
  const timer = setInterval(() => {
    const [looked, sent] = [formatBytes(done.dataBytes), formatBytes(conversation.bytesSent)];
    onStep(`copying: ${looked} of ${whole} compared, ${sent} sent`);
  }, progressSeconds * 1000);
  try {
    for (const file of files) await sendFile(conversation, file, done, options.signal);
  } finally {
    clearInterval(timer);
  }
  onStep("all is sent; waiting until it is published there");
  const { revision } = await conversation.receive("the path of the revision", doneSchema);
  return { path: revision, wasThere: false, ...done };
}

async function sendFile(
  conversation: Conversation,
  { descriptor, bytes }: RevisionFile,
  done: { dataBytes: number; newBytes: number },
  signal: AbortSignal,
): Promise<void> {
  for (const { positions, data } of segmentsOf(descriptor, bytes)) {
    signal.throwIfAborted();
    const numbers = Buffer.alloc(4 * (1 + positions.length));
    numbers.writeUInt32BE(positions.length, 0);
    positions.forEach((position, index) => numbers.writeUInt32BE(position, 4 * (1 + index)));
    const digests = positions.map((_, index) => digestOf(blockAt(data, index)));
    await conversation.send(
      Buffer.concat([numbers, ...digests], numbers.length + digestBytes * digests.length),
    );
    const wanted = await conversation.bytes(positions.length);
    const blocks = positions.flatMap((_, index) => (wanted[index] === 1 ? [blockAt(data, index)] : []));
    if (blocks.length > 0) await conversation.send(Buffer.concat(blocks)); // copied: data is used again
    done.dataBytes += data.length;
    done.newBytes += blocks.length * blockBytes;
  }
  await conversation.send(Buffer.alloc(4));
}
