/** How a typed manifest is parsed. */
export interface ParseOptions {
  /** Skip names that are not known, because newer peers add some; everything else stays an error. */
  lenient?: boolean;
  /** File name or URL for error messages. */
  source?: string;
  /** Lenient only: called once for each unknown name. */
  onUnknown?: (name: string) => void;
}
