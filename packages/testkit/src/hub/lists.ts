import type { HubRepository } from "./content.ts";
import { mediaTypes, referrersOf } from "./images.ts";
import { errorReply, type Exchange, jsonReply, type Reply } from "./reply.ts";
import type { HubState } from "./state.ts";

interface Page<Item> {
  readonly items: readonly Item[];
  /** Name of the last item, when more follow. */
  readonly last: string | undefined;
}

/** The items behind `last`, at most as many as asked and as the hub gives at once. */
function pageOf<Item>(
  items: readonly Item[],
  exchange: Exchange,
  options: { max: number; name: (item: Item) => string },
) {
  const { query } = exchange;
  const after = query.get("last");
  const rest = after === null ? items : items.filter((item) => options.name(item) > after);
  const asked = query.get("n");
  const count = Math.min(asked === null ? options.max : Number(asked), options.max);
  const page = rest.slice(0, count);
  const final = page.at(-1);
  const last = final !== undefined && page.length < rest.length ? options.name(final) : undefined;
  return { items: page, last, count };
}

function linkTo({ knobs, origins }: HubState, exchange: Exchange, page: Page<unknown> & { count: number }) {
  if (page.last === undefined) return {};
  const query = new URLSearchParams(exchange.query);
  query.set("n", `${page.count}`);
  query.set("last", page.last);
  const base = knobs.linkForm === "absolute" ? origins.registry : "";
  return { link: `<${base}${exchange.path}?${query.toString()}>; rel="next"` };
}

const byText = (left: string, right: string): number => (left < right ? -1 : Number(left > right));

/** `GET /v2/<name>/tags/list` with `n`, `last` and `Link`. */
export function tagsAnswer(state: HubState, exchange: Exchange, repository: HubRepository): Reply {
  const asked = exchange.query.get("n");
  if (asked !== null && !/^\d+$/.test(asked)) {
    return errorReply({
      status: 400,
      code: "PAGINATION_NUMBER_INVALID",
      message: "invalid number of results requested",
    });
  }
  const tags = [...repository.tags.keys()].sort(byText);
  const page = pageOf(tags, exchange, { max: state.knobs.tagsPageMax, name: (tag) => tag });
  return jsonReply(200, { name: repository.name, tags: page.items }, linkTo(state, exchange, page));
}

/** `GET /v2/<name>/referrers/<digest>` with `artifactType` and `Link`. */
export function referrersAnswer(state: HubState, exchange: Exchange, repository: HubRepository): Reply {
  const { knobs, content } = state;
  const { reference = "" } = exchange.entry;
  if (!knobs.referrers) return { status: 404, headers: { "content-type": "text/plain" } };
  if (!/^[a-z0-9]+:[0-9a-f]{32,}$/.test(reference)) {
    return errorReply({ status: 400, code: "DIGEST_INVALID", message: "provided digest did not match" });
  }
  const artifactType = knobs.referrersFilter ? exchange.query.get("artifactType") : null;
  const referrers = referrersOf(content, repository.name, reference)
    .filter((referrer) => artifactType === null || referrer.artifactType === artifactType)
    .sort((left, right) => byText(left.digest, right.digest));
  const page = pageOf(referrers, exchange, { max: knobs.referrersPageMax, name: ({ digest }) => digest });
  return jsonReply(
    200,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: page.items },
    {
      "content-type": mediaTypes.ociIndex,
      ...(artifactType === null ? {} : { "oci-filters-applied": "artifactType" }),
      ...linkTo(state, exchange, page),
    },
  );
}
