import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** Passes requests for tasks on, and says of some tasks that they are trusted. */
export async function trusting(
  url: string,
  isTrusted: () => boolean,
): Promise<AsyncDisposable & { url: string }> {
  const { host } = new URL(url);
  const server = createServer((asked, answer) => {
    const { method, headers } = asked;
    const passed = request(url + asked.url!, { method: method!, headers: { ...headers, host } }, (got) => {
      const trust = isTrusted() ? { "croft-trust": "yes" } : {};
      answer.writeHead(got.statusCode!, { ...got.headers, ...trust });
      got.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
