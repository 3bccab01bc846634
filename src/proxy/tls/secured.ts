// What a client and the proxy have agreed on by TLS: for the binding of hosts, access lines and counters.
//
// One object per connection, made when the certificate is chosen and completed when the handshake is over.

import type { ServedNames } from "../../certificates/served-names.ts";
import type { AccessWriter, TlsFacts } from "../../observe/access-writer.ts";
import * as metric from "../../observe/metrics-tls.ts";
import { ascii } from "../../wire/http1/bytes.ts";
import type { Constant } from "../../wire/http1/encoder.ts";

/** Code points of the suites that are counted one by one, in the order of their counters, and their names there. */
const CIPHERS: readonly (readonly [code: number, name: string])[] = [
  [0x1302, "TLS13_AES_256_GCM_SHA384"],
  [0x1301, "TLS13_AES_128_GCM_SHA256"],
  [0x1303, "TLS13_CHACHA20_POLY1305_SHA256"],
  [0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
  [0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
  [0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
  [0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
  [0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
  [0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"],
];

/** The same for groups. */
const GROUPS: readonly (readonly [code: number, name: string])[] = [
  [0x001d, "x25519"],
  [0x0017, "secp256r1"],
  [0x0018, "secp384r1"],
  [0x11ec, "X25519MLKEM768"],
];

const TLS12 = 0x0303;
const TLS13 = 0x0304;
const VERSION_NAMES: readonly string[] = ["TLSv1.2", "TLSv1.3", "Unknown"];
const TUNNEL_TEXTS: readonly Uint8Array[] = ["WSS-TLS1.2", "WSS-TLS1.3", "WSS"].map(ascii);

export class Secured {
  /** The name that the client asked for, normalised; null: none. */
  readonly serverName: string | null;
  /** Names of the certificate that was shown; null: hosts are not bound to it. */
  names: ServedNames | null;
  /** `h2`, `http/1.1`; null: the client has no ALPN. */
  readonly alpn: string | null;
  resumed: boolean;
  /** Fields for backends that tell of the client's certificate; null: the listener asks for none. */
  clientFields: Constant | null;
  /** As the access log has it; undefined: not asked for yet. */
  #logged: Uint8Array | null | undefined;
  #version: number;
  #cipher: number;
  #group: number;

  constructor(serverName: string | null, alpn: string | null) {
    this.serverName = serverName;
    this.names = null;
    this.alpn = alpn;
    this.resumed = false;
    this.clientFields = null;
    this.#logged = undefined;
    this.#version = VERSION_NAMES.length - 1;
    this.#cipher = CIPHERS.length;
    this.#group = GROUPS.length;
  }

  /** Requests must be for hosts of this certificate (spec 8.7). */
  bind(names: ServedNames): void {
    this.names = names;
  }

  /** The handshake is over: `version`, `cipher` and `group` are code points of TLS (0: none). */
  complete(version: number, cipher: number, group: number, resumed: boolean): void {
    if (version === TLS12) this.#version = 0;
    else if (version === TLS13) this.#version = 1;
    this.#cipher = indexIn(CIPHERS, cipher);
    this.#group = indexIn(GROUPS, group);
    this.resumed = resumed;
  }

  count(values: Float64Array): void {
    values[metric.METRIC_TLS_VERSION_TLSV1_2 + this.#version]++;
    values[metric.METRIC_TLS_CIPHER_TLS13_AES_256_GCM_SHA384 + this.#cipher]++;
    values[metric.METRIC_TLS_GROUP_X25519 + this.#group]++;
    if (this.resumed) values[metric.METRIC_TLS_RESUMED]++;
    values[this.alpn === "h2" ? metric.METRIC_HTTP_ALPN_H2 : metric.METRIC_HTTP_ALPN_HTTP11]++;
  }

  /** What `accessLog` shows of it, the same for all requests of the connection; null: nothing. */
  logged(accessLog: AccessWriter): Uint8Array | null {
    if (this.#logged === undefined) this.#logged = accessLog.tlsBytes(this.#facts());
    return this.#logged;
  }

  #facts(): TlsFacts {
    return {
      version: VERSION_NAMES[this.#version],
      cipher: CIPHERS[this.#cipher]?.[1] ?? "Unsupported",
      group: GROUPS[this.#group]?.[1] ?? "other",
      serverName: this.serverName,
      alpn: this.alpn,
      resumed: this.resumed,
    };
  }

  /** The protocol of a tunnel, as access lines name it. */
  get tunnelLabel(): Uint8Array {
    return TUNNEL_TEXTS[this.#version];
  }
}

function indexIn(table: readonly (readonly [code: number, name: string])[], code: number): number {
  for (let i = 0; i < table.length; i++) if (table[i][0] === code) return i;
  return table.length;
}
