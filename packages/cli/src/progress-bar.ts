/** Where a bar is drawn: standard error, so that standard output stays what was asked for. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressBar {
  /** `part` from 0 to 1. Draws at most ten times a second. */
  show(part: number, label: string): void;
  /** Takes the bar away, so that what follows stands alone. Idempotent. */
  end(): void;
}

const intervalMs = 100;
const widthMax = 30;

/** Nothing at all where nobody watches: a pipe, a file, a CI job. */
export function makeProgressBar(terminal: Terminal, now: () => number): ProgressBar {
  if (terminal.isTTY !== true) return { show() {}, end() {} };
  let drawnAt = -Infinity;
  let drawn = false;

  return {
    show(part, label) {
      if (now() - drawnAt < intervalMs && part < 1) return;
      drawnAt = now();
      drawn = true;
      const columns = terminal.columns ?? 80;
      const width = Math.max(5, Math.min(widthMax, columns - label.length - 10));
      const full = Math.round(Math.min(1, Math.max(0, part)) * width);
      const line = `${"█".repeat(full)}${"░".repeat(width - full)} ${String(Math.floor(part * 100)).padStart(3)} %  ${label}`;
      terminal.write(`\r${line.slice(0, columns - 1)}\x1b[K`);
    },
    end() {
      if (drawn) terminal.write("\r\x1b[K");
      drawn = false;
    },
  };
}
