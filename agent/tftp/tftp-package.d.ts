/** Types for the inner modules of the `tftp` package (0.1.2) that this folder builds on; it ships none. */

declare module "tftp/lib/protocol/errors.js" {
  /** An error as it goes over the wire; `code` as in RFC 1350 and RFC 2347, 0 for "see message". */
  export interface TftpError {
    code: number;
    name: string | null;
    message: string;
  }
  const errors: Record<
    | "ENOENT"
    | "EACCESS"
    | "ENOSPC"
    | "EBADOP"
    | "ETID"
    | "EDENY"
    | "EBADMSG"
    | "ETIME"
    | "EBADMODE"
    | "EBADNAME"
    | "EIO",
    TftpError
  >;
  export default errors;
}

declare module "tftp/lib/protocol/opcodes.js" {
  const opcodes: { RRQ: 1; WRQ: 2; DATA: 3; ACK: 4; ERROR: 5; OACK: 6 };
  export default opcodes;
}

declare module "tftp/lib/protocol/packets/index.js" {
  import type { TftpError } from "tftp/lib/protocol/errors.js";
  const packets: {
    error: { serialize(error: TftpError): Buffer };
    oack: { serialize(options: Record<string, number>): Buffer };
  };
  export default packets;
}

declare module "tftp/lib/protocol/packets/read-string.js" {
  /** Reads bytes up to a NUL as Latin-1 and moves the offset behind it; throws a TftpError if there is none. */
  export default function readString(buffer: Buffer, position: { offset: number }): string;
}

declare module "tftp/lib/protocol/server/incoming-request.js" {
  import type { TftpError } from "tftp/lib/protocol/errors.js";

  /** What the package asks of a datagram socket. */
  export interface PacketSocket {
    on(event: "error", listener: (error: Error) => void): this;
    on(event: "close", listener: () => void): this;
    on(event: "message", listener: (message: Buffer) => void): this;
    bind(port: number, address: string | null, listening: () => void): void;
    address(): { address: string; port: number };
    send(buffer: Buffer, offset: number, length: number, port: number, address: string): void;
    close(): void;
  }

  /** One side of a transfer that a client asked for: socket, dispatch of its packets, errors, the end. */
  export default class IncomingRequest {
    constructor(args: {
      helper: { _rinfo: { address: string; port: number }; _socket: PacketSocket };
      message: { file: string; extensions: object | null; userExtensions: object };
      globalOptions: { retries: number; extensions: { timeout: number } };
      /** True if the client writes. */
      reader: boolean;
    });
    protected _closed: boolean;
    protected _closing: boolean;
    protected _oackSent: boolean;
    protected _socket: PacketSocket;
    /** Ends the transfer; without an error, as successful. */
    protected _close(error?: Error): void;
    protected _closeWithError(error: TftpError): void;
    protected _sendErrorAndClose(error: TftpError): void;
    protected _send(packet: Buffer): void;
    protected _sendAck(block: number): void;
    protected _createStats(
      blockSize: number,
      windowSize: number,
    ): { blockSize: number; windowSize: number; localPort: number };
    // Called by the package; subclasses implement them.
    protected _sendOackMessage(options: object): void;
    protected _onReady(
      stats: { blockSize: number; windowSize: number },
      rollover: number,
      oack?: boolean,
    ): void;
    protected onContinue(): void;
    protected _onAck(packet: { block: number }): void;
    protected _onData(packet: { block: number; data: Buffer }): void;
    protected _onError(error: Error): void;
    protected _onClose(): void;
    protected _onAbort(): void;
  }
}
