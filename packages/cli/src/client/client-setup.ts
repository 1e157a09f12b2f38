/** What to write on a client's machine. */
export interface ClientFile {
  readonly path: string;
  readonly contents: string;
}

/** What makes one kind of client pull through Pullring. */
export interface ClientSetup {
  readonly files: readonly ClientFile[];
  /** Commands after which the files count. */
  readonly reload: readonly string[];
  /** Commands that show that they do. */
  readonly check: readonly string[];
  /** What goes wrong otherwise. */
  readonly hints: readonly string[];
}

/** Where the mirror is, as clients reach it. */
export interface Mirror {
  /** `https://mirror.example.org:5000`, without a slash at its end. */
  readonly origin: string;
  /** With the port, where it is not the scheme's own. */
  readonly host: string;
  readonly isPlain: boolean;
}

export interface ClientAsk {
  readonly mirror: Mirror;
  /** Registries, by the names that image references have. */
  readonly upstreams: readonly string[];
  /** PEM of the authority that the mirror's certificate is of; absent = one that every machine trusts. */
  readonly ca?: string;
}

/** Throws CommandError for what this client can't do. */
export type MakeSetup = (ask: ClientAsk) => ClientSetup;

export const authorityFile = ({ ca }: ClientAsk, path: string): readonly ClientFile[] =>
  ca === undefined ? [] : [{ path, contents: ca }];
