import uPlot from "uplot";

import type { Series } from "../samples.ts";

export interface ChartOptions {
  readonly title: string;
  readonly rows: readonly { readonly label: string; readonly colour: string }[];
  /** Fixed at the top; undefined = as high as what is drawn, and at least `least`. */
  readonly max?: number;
  readonly least?: number;
  readonly text: (value: number) => string;
  /** Draws each row on top of those before it. */
  readonly isStacked: boolean;
}

/** A canvas that follows its element's width and the colours of the page. */
export class ChartElement extends HTMLElement {
  #plot: uPlot | undefined;
  #options: ChartOptions | undefined;
  #series: Series = [[]];
  readonly #resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  readonly #recolour = (): void => {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#draw();
  };

  set options(options: ChartOptions) {
    this.#options ??= options;
  }

  set series(series: Series) {
    this.#series = series;
    this.#draw();
  }

  connectedCallback(): void {
    this.#resized.observe(this);
    this.#dark.addEventListener("change", this.#recolour);
    this.#draw();
  }

  disconnectedCallback(): void {
    this.#resized.disconnect();
    this.#dark.removeEventListener("change", this.#recolour);
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  #size(): { width: number; height: number } {
    return { width: Math.max(200, this.clientWidth), height: 180 };
  }

  #draw(): void {
    if (!this.isConnected || !this.#options) return;
    const data = (this.#options.isStacked ? stacked(this.#series) : this.#series) as unknown as uPlot.AlignedData;
    if (this.#plot) this.#plot.setData(data);
    else this.#plot = new uPlot(this.#plotOptions(this.#options), data, this);
  }

  #plotOptions({ rows, max, least = 1, text, isStacked }: ChartOptions): uPlot.Options {
    const colour = (name: string): string => getComputedStyle(this).getPropertyValue(name).trim();
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const series = rows.map(({ label, colour: name }): uPlot.Series => ({
      label,
      stroke: colour(name),
      width: 1.5,
      spanGaps: true,
      points: { show: false },
      ...(isStacked ? { fill: `${colour(name)}55` } : {}),
      value: (_plot, value) => (value === null ? "–" : text(value)),
    }));
    return {
      ...this.#size(),
      // A stack's upper rows are drawn first, so that the lower ones stay seen.
      series: [{ label: "time" }, ...series],
      cursor: { drag: { x: false, y: false } },
      legend: { live: !isStacked },
      scales: {
        // Five minutes at least, or the first points would fill the years; with no points at all both ends are null.
        x: { range: (_plot, from, to) => recent(from, to) },
        y: { range: (_plot, _min, top) => [0, max ?? Math.max(least, top * 1.1)] },
      },
      axes: [axis, { ...axis, size: 70, values: (_plot, values) => values.map(text) }],
    };
  }
}

function recent(from: number | null, to: number | null): uPlot.Range.MinMax {
  const end = to ?? (performance.timeOrigin + performance.now()) / 1000;
  return [Math.min(from ?? end, end - 300), end];
}

function stacked([times, ...rows]: Series): Series {
  const sums = times.map(() => 0);
  const piled = rows.map((row) => row.map((value, at) => (sums[at] = (sums[at] ?? 0) + (value ?? 0))));
  return [times, ...piled];
}
