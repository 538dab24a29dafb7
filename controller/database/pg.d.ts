declare module "pg" {
  interface Result {
    rows: unknown[];
  }
  interface PoolClient {
    query(text: string, values?: readonly unknown[]): Promise<Result>;
    release(error?: Error): void;
    on(event: "error", listener: (error: Error) => void): this;
    off(event: "error", listener: (error: Error) => void): this;
  }
  class Client {
    constructor(options: { connectionString: string; keepAlive?: boolean; connectionTimeoutMillis?: number });
    /** Of the process that serves it, as the server said when it connected. */
    readonly processID: number;
    connect(): Promise<void>;
    query(text: string, values?: readonly unknown[]): Promise<Result>;
    end(): Promise<void>;
    on(event: "error", listener: (error: Error) => void): this;
    on(event: "end", listener: () => void): this;
    on(event: "notification", listener: (message: { payload?: string }) => void): this;
  }
  class Pool {
    constructor(options: { connectionString: string; max?: number; connectionTimeoutMillis?: number });
    query(text: string, values?: readonly unknown[]): Promise<Result>;
    connect(): Promise<PoolClient>;
    end(): Promise<void>;
    on(event: "error", listener: (error: Error) => void): this;
  }
}
