/**
 * The exact reader: a state machine over bytes that takes its input in pieces of any size.
 *
 * Each state says what is being looked for when a byte arrives. That decides three things: what the byte means,
 * how an illegal byte is called in the error ("invalid manifest", "… name", "… value"), and what has happened
 * already when it is met. The last matters where an empty value is followed by a line that may or may not be the
 * introducer of a multi-line value: the value is finished, and its version checked, only when that is known.
 */
import { ManifestError } from "../error.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import {
  BACKSLASH,
  COLON,
  CR,
  HASH,
  LF,
  SPACE,
  TAB,
  badByteReason,
  badCodePointReason,
  codePointAt,
  mayContinue,
  refusedClass,
  sequenceLength,
} from "./characters.ts";

/** One name and value; `["", "1"]` opens a manifest, `["", ""]` ends it, one more `["", ""]` ends the stream. */
export interface Pair {
  name: string;
  value: string;
}

/** 1-based; the column counts code points. */
export interface Position {
  line: number;
  column: number;
}

/** A pair and where its name and its value start. */
export interface PositionedPair extends Pair {
  nameAt: Position;
  valueAt: Position;
}

/** Where a reader may begin if it does not begin at the start of the stream: always at the start of a line. */
export interface ReaderStart {
  line: number;
  /** A manifest is open. */
  inManifest: boolean;
  /** The stream's first version pair has been read. */
  versionSeen: boolean;
}

// What is being looked for when a byte arrives.
const LINE = 0; // the next name, at the start of a line
const COMMENT = 1; // the end of a comment
const NAME = 2; // the end of a name
const AFTER_NAME = 3; // the colon
const BEFORE_VALUE = 4; // the start of the value
const INTRODUCER = 5; // whether a value's first character, a backslash, is its line's only one
const EMPTY = 6; // whether an empty value's next line starts with a backslash
const EMPTY_BACKSLASH = 7; // … and has nothing else, so that it introduces a multi-line value
const SIMPLE = 8; // the end of a simple value
const JOINED = 9; // the same, at the start of a line after a joining backslash
const JOINED_BACKSLASH = 10; // the same, after a backslash that may be such a line's only character
const MULTI = 11; // the end of a multi-line value
const ENDED = 12;

const prefixes = [
  "invalid manifest",
  "invalid manifest",
  "invalid manifest name",
  "invalid manifest",
  "invalid manifest",
  ...Array<string>(7).fill("invalid manifest value"),
];

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads pairs from a byte stream; see the top of the file. */
export class ManifestReader {
  readonly #onPair: (pair: PositionedPair) => void;
  readonly #source: string | undefined;
  #state = LINE;
  #inManifest = false;
  #versionSeen = false;
  #line = 1;
  #column = 1;
  /** The last character was a CR: more CRs and one LF belong to the same newline. */
  #afterCr = false;
  /** The code point being read, when it has several bytes. */
  readonly #sequence = new Uint8Array(4);
  #sequenceLength = 0;
  #sequenceWanted = 0;
  #name = "";
  #nameAt: Position = { line: 1, column: 1 };
  #valueAt: Position = { line: 1, column: 1 };
  /** The name or value being read. */
  readonly #text = new ByteBuffer(256);
  /** Backslashes that may turn out to end the line. */
  #backslashes = 0;
  /** Multi-line: a newline that belongs to the value unless the terminator follows. */
  #newline = false;
  /** Multi-line: nothing of the current line seen yet, save perhaps backslashes. */
  #lineEmpty = true;

  /** @param onPair is called with each pair as soon as it is known. */
  constructor(
    onPair: (pair: PositionedPair) => void,
    options: { source?: string; start?: ReaderStart } = {},
  ) {
    this.#onPair = onPair;
    this.#source = options.source;
    this.#line = options.start?.line ?? 1;
    this.#inManifest = options.start?.inManifest ?? false;
    this.#versionSeen = options.start?.versionSeen ?? false;
  }

  /**
   * Takes the next piece of the stream.
   *
   * @throws {ManifestError} at the first error; the reader is of no use afterwards.
   */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (this.#sequenceWanted > 0) this.#continueSequence(byte);
      else this.#startCodePoint(byte);
    }
  }

  /**
   * Takes the end of the stream.
   *
   * @throws {ManifestError}
   */
  end(): void {
    if (this.#sequenceWanted > 0) this.#refuse("unexpected end of stream");
    this.#finishToken();
    const at = this.#position();
    if (this.#inManifest) this.#onPair({ name: "", value: "", nameAt: at, valueAt: at });
    this.#onPair({ name: "", value: "", nameAt: at, valueAt: at });
    this.#state = ENDED;
  }

  #startCodePoint(byte: number): void {
    if (this.#afterCr) {
      if (byte === CR) return;
      this.#afterCr = false;
      if (byte === LF) return;
    }
    if (byte >= 0x80) {
      this.#startSequence(byte);
      return;
    }
    if (byte === CR) {
      this.#afterCr = true;
      this.#character(LF);
      return;
    }
    const refused = refusedClass(byte);
    if (refused !== undefined) this.#refuse(badCodePointReason(refused));
    this.#character(byte);
  }

  #startSequence(lead: number): void {
    const wanted = sequenceLength(lead);
    if (wanted === 0) this.#refuse(badByteReason(0, lead));
    // A name or a value starts, or ends, with the first byte already: the others are read as part of it.
    this.#beginOrdinary();
    this.#sequence[0] = lead;
    this.#sequenceLength = 1;
    this.#sequenceWanted = wanted;
  }

  #continueSequence(byte: number): void {
    const index = this.#sequenceLength;
    if (!mayContinue(this.#sequence[0]!, index, byte)) this.#refuse(badByteReason(index, byte));
    this.#sequence[index] = byte;
    this.#sequenceLength = index + 1;
    if (this.#sequenceLength < this.#sequenceWanted) return;
    const refused = refusedClass(codePointAt(this.#sequence, 0, this.#sequenceWanted));
    if (refused !== undefined) this.#refuse(badCodePointReason(refused));
    if (this.#state !== COMMENT) this.#text.append(this.#sequence, 0, this.#sequenceWanted);
    this.#sequenceWanted = 0;
    this.#column++;
  }

  /** An ASCII character, or a newline of any form as LF. */
  #character(character: number): void {
    this.#interpret(character);
    if (character === LF) {
      this.#line++;
      this.#column = 1;
    } else this.#column++;
  }

  #interpret(character: number): void {
    switch (this.#state) {
      case LINE:
        return this.#inLine(character);
      case COMMENT:
        if (character === LF) this.#state = LINE;
        return;
      case NAME:
      case AFTER_NAME:
        return this.#inName(character);
      case BEFORE_VALUE:
        return this.#beforeValue(character);
      case INTRODUCER:
        if (character === LF) return this.#startMultiLine();
        this.#state = SIMPLE;
        return this.#inSimple(character);
      case EMPTY:
        if (character === BACKSLASH) {
          this.#state = EMPTY_BACKSLASH;
          return;
        }
        this.#finishPair();
        return this.#inLine(character);
      case EMPTY_BACKSLASH:
        if (character === LF) return this.#startMultiLine();
        this.#backslashIsName();
        return this.#inName(character);
      case MULTI:
        return this.#inMultiLine(character);
      default:
        return this.#inSimple(character);
    }
  }

  #inLine(character: number): void {
    if (character === SPACE || character === TAB || character === LF) return;
    if (character === HASH) {
      this.#state = COMMENT;
      return;
    }
    const at = this.#position();
    if (character === COLON && this.#inManifest) {
      this.#inManifest = false;
      this.#onPair({ name: "", value: "", nameAt: at, valueAt: at });
    }
    this.#startName(at);
    this.#inName(character);
  }

  #startName(at: Position): void {
    this.#nameAt = at;
    this.#text.length = 0;
    this.#state = NAME;
  }

  #inName(character: number): void {
    if (character === COLON) {
      this.#name = this.#takeText();
      this.#state = BEFORE_VALUE;
    } else if (character === SPACE || character === TAB) this.#state = AFTER_NAME;
    else if (character === LF || this.#state === AFTER_NAME) this.#fail("':' expected after name");
    else this.#text.push(character);
  }

  #beforeValue(character: number): void {
    if (character === SPACE || character === TAB) return;
    this.#valueAt = this.#position();
    this.#backslashes = 0;
    if (character === LF) this.#state = EMPTY;
    else if (character === BACKSLASH) {
      this.#state = INTRODUCER;
      this.#backslashes = 1;
    } else {
      this.#state = SIMPLE;
      this.#text.push(character);
    }
  }

  /** What looked like the introducer after an empty value is the start of the next name. */
  #backslashIsName(): void {
    this.#finishPair();
    this.#startName({ line: this.#line, column: this.#column - 1 });
    this.#text.push(BACKSLASH);
  }

  #startMultiLine(): void {
    this.#state = MULTI;
    this.#valueAt = { line: this.#line + 1, column: 1 }; // the newline is not counted yet
    this.#backslashes = 0;
    this.#newline = false;
    this.#lineEmpty = true;
  }

  #inSimple(character: number): void {
    if (this.#state === JOINED) {
      if (character === BACKSLASH) {
        this.#state = JOINED_BACKSLASH;
        this.#backslashes = 1;
        return;
      }
      this.#state = SIMPLE;
    } else if (this.#state === JOINED_BACKSLASH) {
      this.#state = SIMPLE;
      if (character === LF) {
        this.#backslashes = 0;
        this.#text.push(LF);
        return;
      }
    }
    if (character === BACKSLASH) this.#backslashes++;
    else if (character !== LF) {
      this.#keepBackslashes(0);
      this.#text.push(character);
    } else if (this.#backslashes === 1) {
      this.#backslashes = 0;
      this.#state = JOINED;
    } else this.#finishSimple();
  }

  #inMultiLine(character: number): void {
    if (character === BACKSLASH) this.#backslashes++;
    else if (character !== LF) {
      this.#beginMultiLineText();
      this.#text.push(character);
    } else if (this.#backslashes === 1) {
      if (this.#lineEmpty) return this.#finishPair();
      this.#backslashes = 0; // joined
      this.#lineEmpty = true;
    } else {
      this.#keepNewline();
      this.#keepBackslashes(1);
      this.#newline = true;
      this.#lineEmpty = true;
    }
  }

  #beginMultiLineText(): void {
    this.#keepNewline();
    this.#keepBackslashes(0);
    this.#lineEmpty = false;
  }

  #keepNewline(): void {
    if (this.#newline) this.#text.push(LF);
    this.#newline = false;
  }

  /** Adds the backslashes held back, all but `less` of them. */
  #keepBackslashes(less: number): void {
    for (; this.#backslashes > less; this.#backslashes--) this.#text.push(BACKSLASH);
    this.#backslashes = 0;
  }

  /** A character that is neither ASCII nor a newline begins: it means the same in all states. */
  #beginOrdinary(): void {
    switch (this.#state) {
      case LINE:
        return this.#startName(this.#position());
      case AFTER_NAME:
        return this.#fail("':' expected after name");
      case EMPTY:
        this.#finishPair();
        return this.#startName(this.#position());
      case EMPTY_BACKSLASH:
        return this.#backslashIsName();
      case BEFORE_VALUE:
        this.#valueAt = this.#position();
        this.#backslashes = 0;
        this.#state = SIMPLE;
        return;
      case INTRODUCER:
      case SIMPLE:
      case JOINED:
      case JOINED_BACKSLASH:
        this.#state = SIMPLE;
        return this.#keepBackslashes(0);
      case MULTI:
        return this.#beginMultiLineText();
    }
  }

  /** Ends whatever is being read at the end of the stream. */
  #finishToken(): void {
    switch (this.#state) {
      case NAME:
      case AFTER_NAME:
        return this.#fail("':' expected after name");
      case BEFORE_VALUE:
        this.#valueAt = this.#position();
        return this.#finishPair();
      case INTRODUCER:
      case EMPTY_BACKSLASH:
        this.#valueAt = this.#position();
        return this.#finishPair();
      case EMPTY:
        return this.#finishPair();
      case SIMPLE:
      case JOINED:
        return this.#finishSimple();
      case JOINED_BACKSLASH:
        this.#text.push(LF);
        this.#backslashes = 0;
        return this.#finishSimple();
      case MULTI:
        if (this.#backslashes !== 1 || !this.#lineEmpty) {
          this.#keepNewline();
          this.#keepBackslashes(1);
        }
        return this.#finishPair();
    }
  }

  #finishSimple(): void {
    this.#keepBackslashes(1);
    const text = this.#text;
    while (text.length > 0) {
      const last = text.bytes[text.length - 1];
      if (last !== SPACE && last !== TAB) break;
      text.length--;
    }
    this.#finishPair();
  }

  #finishPair(): void {
    let value = this.#takeText();
    if (!this.#inManifest) {
      if (this.#name !== "") this.#fail("format version pair expected", this.#nameAt);
      if (value === "") {
        if (!this.#versionSeen) this.#fail("format version value expected", this.#valueAt);
        value = "1";
      } else if (value !== "1") this.#fail(`unsupported format version ${value}`, this.#valueAt);
      this.#versionSeen = true;
      this.#inManifest = true;
    }
    this.#state = LINE;
    this.#onPair({ name: this.#name, value, nameAt: this.#nameAt, valueAt: this.#valueAt });
  }

  #takeText(): string {
    const text = this.#text;
    if (text.length === 0) return "";
    const taken = decoder.decode(text.bytes.subarray(0, text.length));
    text.length = 0;
    return taken;
  }

  #position(): Position {
    return { line: this.#line, column: this.#column };
  }

  #refuse(reason: string): never {
    return this.#fail(`${prefixes[this.#state]}: ${reason}`);
  }

  #fail(reason: string, at: Position = this.#position()): never {
    throw new ManifestError(at, reason, this.#source);
  }
}

/**
 * Reads a whole stream with positions.
 *
 * @throws {ManifestError}
 */
export function readPositionedPairs(bytes: Uint8Array): PositionedPair[] {
  const pairs: PositionedPair[] = [];
  const reader = new ManifestReader((pair) => pairs.push(pair));
  reader.push(bytes);
  reader.end();
  return pairs;
}
