/** The manual at `/docs`, in the look of the other pages. */
import { readFileSync } from "node:fs";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { packageFile } from "../../os/files/package.ts";
import { securityHeaders } from "../dashboard/layout.ts";
import { sendPage, sendRefusal } from "../dashboard/sending.ts";
import { mayRead } from "../routes/access.ts";
import type { Served } from "../routes/served.ts";
import { visitorOf } from "../routes/visitor.ts";
import { bookPage } from "./book-page.ts";
import { changelog, partsOf, readAttachments, readPages } from "./contents.ts";
import type { Rendered } from "./render.ts";

const pageSchema = Type.Object({ "*": Type.String({ maxLength: 200 }) });

/** What was read and rendered, for as long as the controller runs: the package does not change under it. */
interface Book {
  pages: ReadonlyMap<string, string>;
  parts: ReturnType<typeof partsOf>;
  attachments: ReadonlyMap<string, Buffer>;
  rendered: Map<string, Rendered>;
}

/** Adds the book; it is read, and what renders it is loaded, when somebody first opens it. */
export function addBook(untyped: FastifyInstance, served: Served): void {
  const server = untyped.withTypeProvider<TypeBoxTypeProvider>();
  const reading = { onRequest: mayRead(served) };
  let book: Book | undefined;

  const open = async (name: string): Promise<{ book: Book; page: Rendered } | undefined> => {
    book ??= readBook();
    const text = book.pages.get(name);
    if (text === undefined) return undefined;
    const { renderPage } = await import("./render.ts");
    const page = book.rendered.get(name) ?? renderPage(name, text);
    book.rendered.set(name, page);
    return { book, page };
  };

  server.get("/docs", reading, async (request, reply) => {
    const { book, page } = (await open("README"))!;
    return sendPage(
      reply,
      bookPage({ name: "README", page, parts: book.parts }, await visitorOf(served, request)),
    );
  });

  server.get("/docs/*", { ...reading, schema: { params: pageSchema } }, async (request, reply) => {
    const name = request.params["*"].replace(/\.md$/, "");
    if (name === "" || name === "README") return reply.redirect("/docs");
    const found = await open(name);
    const visitor = await visitorOf(served, request);
    if (found) return sendPage(reply, bookPage({ name, page: found.page, parts: found.book.parts }, visitor));
    const attachment = book?.attachments.get(name);
    if (!attachment) return sendRefusal(reply, 404, "The manual has no such page", visitor);
    return reply.headers(securityHeaders).type("text/plain; charset=utf-8").send(attachment);
  });
}

function readBook(): Book {
  const pages = new Map(readPages());
  pages.set(changelog, readFileSync(packageFile(`${changelog}.md`), "utf8"));
  return {
    pages,
    parts: partsOf(pages.get("README")!),
    attachments: readAttachments(),
    rendered: new Map(),
  };
}
