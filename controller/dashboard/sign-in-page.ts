/** Where a person exchanges a token for a session of the browser. */
import type { Visitor } from "../routes/visitor.ts";
import { html, type Markup } from "./html.ts";
import { formToken, page } from "./layout.ts";

/** What the page shows. */
interface SignIn {
  /** Where to go from there. */
  to: string;
  visitor: Visitor;
  /** Why nobody may sign in. */
  reason: string | undefined;
  /** The token that was given is not known. */
  isWrong?: boolean;
}

/** The page. */
export function signInPage({ to, visitor, reason, isWrong = false }: SignIn): string {
  return page(
    "Sign in",
    html`<h1>Sign in</h1>
      ${reason === undefined ? form(to, visitor, isWrong) : refused(reason)}`,
  );
}

function form(to: string, visitor: Visitor, isWrong: boolean): Markup {
  return html`<form class="card" method="post" action="/sign-in">
    ${formToken(visitor)}
    <input type="hidden" name="to" value="${to}" />
    ${isWrong && html`<p class="error-text" role="alert">This token is not known here.</p>`}
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" required autofocus />
    <p class="quiet">Whoever runs this controller makes one with <code>croft token create NAME</code>.</p>
    <p class="buttons"><button class="main">Sign in</button></p>
  </form>`;
}

function refused(reason: string): Markup {
  return html`<div class="card">
    <p>${reason} So nobody may sign in on its pages.</p>
    <p class="quiet">
      With a certificate (<code>tls</code>), or an https address as its <code>public-url</code> behind a
      proxy, they may. Programs send their token themselves.
    </p>
  </div>`;
}
