/** A refusal of the admin API (RFC 9457), or no answer at all (status 0). */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Api {
  /** Goes with every request from now on, in a header and nowhere else. Kept for this tab's session. */
  setToken(token: string): void;
  readonly hasToken: boolean;
  /** Throws ApiError. */
  call(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown>;
  /** Lines of a body that comes bit by bit. Throws ApiError. */
  lines(method: "GET" | "POST", path: string, options?: LinesOptions): AsyncIterable<string>;
}

export interface LinesOptions {
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

const base = "/admin/v1";
const tokenKey = "pullring-token";

export function makeApi(storage: Pick<Storage, "getItem" | "setItem">): Api {
  let token = storage.getItem(tokenKey) ?? "";

  async function ask(method: string, path: string, { body, signal }: LinesOptions = {}): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json, application/x-ndjson, text/event-stream" };
    if (token !== "") headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const request: RequestInit = { method, headers, cache: "no-store", credentials: "omit" };
    if (body !== undefined) request.body = JSON.stringify(body);
    if (signal) request.signal = signal;
    const answer = await fetch(base + path, request).catch(() => {
      throw new ApiError(0, "the node does not answer");
    });
    if (!answer.ok) throw new ApiError(answer.status, await reasonOf(answer));
    return answer;
  }

  return {
    setToken(text) {
      token = text;
      storage.setItem(tokenKey, text);
    },
    get hasToken() {
      return token !== "";
    },
    call: async (method, path, body) => (await ask(method, path, { body })).json(),
    async *lines(method, path, options) {
      const { body } = await ask(method, path, options);
      if (!body) return;
      let rest = "";
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n");
        rest = parts.pop() ?? "";
        yield* parts;
      }
      if (rest !== "") yield rest;
    },
  };
}

async function reasonOf(answer: Response): Promise<string> {
  try {
    const { detail, title } = (await answer.json()) as { detail?: string; title?: string };
    return detail ?? title ?? `status ${answer.status}`;
  } catch {
    return `status ${answer.status}`;
  }
}
