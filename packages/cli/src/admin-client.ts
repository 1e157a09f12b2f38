import { CommandError, exitCodes, type ExitCode } from "./exit-codes.ts";

/** Answers of the admin API; each call ends in the answer or in a CommandError. */
export interface AdminClient {
  /** `path` is below `/admin/v1`, encoded. */
  call(method: Method, path: string, body?: unknown): Promise<Answer>;
  /** The same for an answer that comes line by line. Resolves after its last line; one that breaks off rejects. */
  stream(method: Method, path: string, body: unknown, onLine: (line: unknown) => void): Promise<void>;
}

type Method = "GET" | "POST" | "DELETE";

export type Answer = Readonly<Record<string, unknown>>;

export interface AdminClientOptions {
  readonly url: string;
  readonly token?: string | undefined;
}

/** A node that asks its whole cluster may take as long as its slowest member. */
const timeoutMs = 30_000;

export function makeAdminClient({ url, token }: AdminClientOptions): AdminClient {
  const base = originOf(url);

  /** A good answer, its body unread. */
  async function begin(method: Method, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const response = await ask(`${base}/admin/v1${path}`, {
      method,
      redirect: "error",
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
    if (response.ok) return response;
    const answer = await answerOf(response);
    throw new CommandError(codeOf(response.status, answer), `${base}: ${reasonOf(response.status, answer)}`);
  }

  return {
    call: async (method, path, body) => answerOf(await begin(method, path, body, AbortSignal.timeout(timeoutMs))),
    async stream(method, path, body, onLine) {
      const late = new AbortController();
      // Until its head: how long it goes on is its own.
      const timer = setTimeout(() => late.abort(new DOMException("too late", "TimeoutError")), timeoutMs);
      const { body: bytes } = await begin(method, path, body, late.signal).finally(() => clearTimeout(timer));
      try {
        for await (const line of linesOf(bytes)) onLine(JSON.parse(line));
      } catch (error) {
        if (error instanceof CommandError) throw error;
        throw new CommandError(exitCodes.failed, `${base}: the answer broke off: ${causeOf(error)}`);
      }
    },
  };
}

async function* linesOf(bytes: Response["body"]): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of (bytes ?? []) as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
  }
  if (rest !== "") throw new Error("a line without its end");
}

function originOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed && /^https?:$/.test(parsed.protocol) && parsed.pathname === "/" && parsed.search === "")
    return parsed.origin;
  throw new CommandError(exitCodes.usage, `--admin: "${url}" is no address such as http://127.0.0.1:5001`);
}

async function ask(url: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw new CommandError(
      exitCodes.unreachable,
      `can't reach ${new URL(url).origin}: ${causeOf(error)} (--admin URL says where)`,
    );
  }
}

/** fetch hides the reason behind a general one. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer in ${timeoutMs / 1_000} s`;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
}

async function answerOf(response: Response): Promise<Answer> {
  try {
    const answer: unknown = await response.json();
    if (typeof answer === "object" && answer !== null && !Array.isArray(answer)) return answer as Answer;
  } catch {
    // Told below: what is not JSON is not this API's.
  }
  throw new CommandError(
    exitCodes.failed,
    `${new URL(response.url).origin} does not answer as Pullring's admin API does`,
  );
}

/** A 404 without words is of a node that has no such call. */
function codeOf(status: number, { detail }: Answer): ExitCode {
  if (status === 401 || status === 403) return exitCodes.refused;
  return status === 400 || (status === 404 && detail !== undefined) ? exitCodes.usage : exitCodes.failed;
}

function reasonOf(status: number, { title, detail }: Answer): string {
  const unsaid = status === 404 ? "no such call there; --admin wants the address of admin.listen" : "failed";
  const told = [detail, title].find((word) => typeof word === "string") ?? unsaid;
  const hint = status === 401 ? " (--token-file FILE)" : "";
  return `${status} ${told}${hint}`;
}
