export type StorageKind = "btrfs" | "directory";

export interface RemoveOptions {
  isTemporary?: boolean;
}

/**
 * Makes, copies and removes the trees that machines live in.
 *
 * - No operation touches `from`. `to` must not be there, and its directory must.
 * - If an operation fails or is aborted, nothing is left at `to`; if the process dies, there may be an incomplete
 *   tree: use only names there that are known as temporary, and rename when complete.
 * - {@link remove} takes the tree away from its name at once and whole, whatever happens afterwards; also if the host
 *   crashes.
 *
 * All of them throw a `Failure`.
 */
export interface Storage {
  /** `auto`: each path by the file system it is on. */
  readonly kind: StorageKind | "auto";
  createSubvolume(path: string, signal?: AbortSignal): Promise<void>;
  /** An independent writable copy: for bootstrapping and publishing. */
  clone(from: string, to: string, signal?: AbortSignal): Promise<void>;
  /**
   * What a task works on, and throws away: writable disks that depend on those of `from`, which must stay as long.
   * Disks may change their format (and ending: `disk.img` to `disk.qcow2`); other files must not be written.
   *
   * @param disks a directory in `from`: its disks, instead of those of `from`.
   */
  overlay(from: string, to: string, signal?: AbortSignal, disks?: string): Promise<void>;
  /**
   * Removes a tree; none there is no error.
   *
   * @param options.isTemporary nobody believes in its name: after a crash of the host that may be there again, with a
   * part of the tree.
   */
  remove(path: string, options?: RemoveOptions): Promise<void>;
}
