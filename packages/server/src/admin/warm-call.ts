import { AdminProblem } from "./admin-problem.ts";
import type { AdminCall, AdminFacts } from "./call.ts";
import { parseWarmImage } from "./image-key.ts";
import { warmBody, warmStep, type WarmBody, type WarmStep } from "./warm-answers.ts";

/** Each holds fills that clients could have. */
const warmsMax = 4;

export function warmCalls({ names, warmer }: Pick<AdminFacts, "names" | "warmer">): readonly AdminCall[] {
  let running = 0;
  return [
    {
      method: "POST",
      path: "/warm",
      summary: "Fetches what is missing of images, each line a step, the summary last; whoever leaves ends it",
      changes: true,
      body: warmBody,
      type: "application/x-ndjson",
      answer: warmStep,
      open({ body, note }) {
        const { images: texts, platforms } = body as WarmBody;
        const images = texts.map((text) => parseWarmImage(text, names));
        if (running >= warmsMax) throw new AdminProblem(429, "this node is warming as much as it may at once", 30);
        running += 1;
        note({ images: images.length });
        return async (out) => {
          const tell = (step: WarmStep): Promise<void> => out.write(`${JSON.stringify(step)}\n`);
          try {
            const wanted = platforms.length > 0 ? platforms : [ownPlatform()];
            const summary = await warmer.warm({ images, platforms: wanted, signal: out.signal, tell });
            note({ summary });
            await tell(summary);
          } finally {
            running -= 1;
          }
        };
      },
    },
  ];
}

/** That of this node: nodes and those who pull from them mostly have the same. */
function ownPlatform(): string {
  const names: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", arm: "arm/v7", ppc64: "ppc64le" };
  return `linux/${names[process.arch] ?? process.arch}`;
}
