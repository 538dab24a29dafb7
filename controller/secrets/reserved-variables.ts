/** A build has these from its worker, or could not run with another value. */
const reserved = /^(?:CROFT_.*|LD_.*|BASH_ENV|CI|DESTDIR|ENV|HOME|IFS|PATH|PWD|SHELL)$/;

/** Whether nobody sets a variable of this name for a build. */
export function isReserved(name: string): boolean {
  return reserved.test(name);
}
