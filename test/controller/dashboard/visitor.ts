/** A browser as far as forms and cookies go. */
export class Visitor {
  readonly #url: string;
  cookie = "";

  constructor(url: string) {
    this.#url = url;
  }

  async get(path: string) {
    const headers = { accept: "text/html", cookie: this.cookie };
    const answer = await fetch(this.#url + path, { headers, redirect: "manual" });
    return { status: answer.status, to: answer.headers.get("location"), text: await answer.text() };
  }

  /** Sends the form of a page, or another. */
  async send(path: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
    const answer = await fetch(this.#url + path, {
      method: "POST",
      headers: { accept: "text/html", cookie: this.cookie, origin: this.#url, ...headers },
      body: new URLSearchParams(fields),
      redirect: "manual",
    });
    const set = answer.headers.get("set-cookie");
    if (set !== null) this.cookie = set.split(";")[0]!;
    return { status: answer.status, to: answer.headers.get("location"), text: await answer.text(), set };
  }

  /** The token of the forms of a page. */
  async form(path = "/builds"): Promise<string> {
    const { text } = await this.get(path);
    return /name="form" value="([^"]+)"/.exec(text)?.[1] ?? "";
  }

  async signIn(given: string) {
    return await this.send("/sign-in", { form: await this.form("/sign-in"), token: given, to: "/builds/1" });
  }
}
