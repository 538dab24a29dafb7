/** How each kind of forge is told what became of a commit. */

/** What a forge is told, in terms of all of them. */
export interface CommitStatus {
  state: "waiting" | "building" | "success" | "failure" | "error" | "cancelled";
  /** Which of several about the same commit; another of the same name replaces it. */
  context: string;
  description: string;
  /** Where more of it is to be read. */
  url: string;
}

/** Where a repository's statuses go. */
interface StatusPlace {
  /** Without a slash at the end. */
  api: string;
  fullName: string;
  commit: string;
  token: string;
}

/** A request as `fetch` takes it. */
interface StatusRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** The interface for commit statuses of a kind of forge. */
export interface StatusApi {
  /** Where it is, by the address that the forge's pages have. */
  baseOf(origin: string): string;
  request(place: StatusPlace, status: CommitStatus): StatusRequest;
  /** Whether what looks like a refusal says that the forge has this status already. */
  hasIt?(code: number, answer: string): boolean;
}

/** GitHub takes no longer ones; nobody reads longer ones elsewhere. */
const descriptionCharacters = 140;

const json = { "content-type": "application/json", "user-agent": "croft" };
const pathOf = (fullName: string) => fullName.split("/").map(encodeURIComponent).join("/");

function body(state: string, name: string, { context, description, url }: CommitStatus): string {
  const shown = description.slice(0, descriptionCharacters);
  return JSON.stringify({ state, [name]: context, description: shown, target_url: url });
}

/** https://docs.github.com/rest/commits/statuses#create-a-commit-status; has no word for what is being built. */
export const githubStatuses: StatusApi = {
  baseOf: (origin) => (origin === "https://github.com" ? "https://api.github.com" : `${origin}/api/v3`),
  request: ({ api, fullName, commit, token }, status) => {
    const { state } = status;
    const words = { waiting: "pending", building: "pending", cancelled: "error" } as Record<string, string>;
    return {
      url: `${api}/repos/${pathOf(fullName)}/statuses/${commit}`,
      headers: {
        ...json,
        accept: "application/vnd.github+json",
        authorization: `Bearer ${token}`,
        "x-github-api-version": "2022-11-28",
      },
      body: body(words[state] ?? state, "context", status),
    };
  },
};

/** https://docs.gitlab.com/api/commits/#set-commit-pipeline-status */
export const gitlabStatuses: StatusApi = {
  baseOf: (origin) => `${origin}/api/v4`,
  request: ({ api, fullName, commit, token }, status) => {
    const words = {
      ...{ waiting: "pending", building: "running", success: "success" },
      ...{ failure: "failed", error: "failed", cancelled: "canceled" },
    };
    return {
      url: `${api}/projects/${encodeURIComponent(fullName)}/statuses/${commit}`,
      headers: { ...json, "private-token": token },
      body: body(words[status.state], "name", status),
    };
  },
  // Of a request whose answer was lost: it goes from one state to another only.
  hasIt: (code, answer) => code === 400 && /Cannot transition status via :\w+ from :\w+/.test(answer),
};

/** Gitea and Forgejo: routers/api/v1/repo/status.go, modules/structs/commit_status.go; no word for what is being built. */
export const giteaStatuses: StatusApi = {
  baseOf: (origin) => `${origin}/api/v1`,
  request: ({ api, fullName, commit, token }, status) => {
    const words = { waiting: "pending", building: "pending", cancelled: "error" } as Record<string, string>;
    return {
      url: `${api}/repos/${pathOf(fullName)}/statuses/${commit}`,
      headers: { ...json, authorization: `token ${token}` },
      body: body(words[status.state] ?? status.state, "context", status),
    };
  },
};
