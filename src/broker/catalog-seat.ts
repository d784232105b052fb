/**
 * The catalog that this node goes by. Replaced as a whole once its partition is open, so that it is never seen half
 * replayed. Of a node that runs, whose catalog's log was lost and is begun anew, it stays the one from before until the
 * new one has come as far: by less than it knew already, the node would take its partitions for moved away, and delete
 * them.
 */
import { Catalog } from './catalog.ts';
import type { CatalogMember } from './roster.ts';

export class CatalogSeat {
  #catalog: Catalog = new Catalog();
  /** The one from before, and how far it had come; undefined when the present one has come as far. */
  #former: { readonly catalog: Catalog; readonly appliedIndex: number } | undefined;
  /** What its partition makes of the log while it is opened. */
  #replayed: Catalog | undefined;

  get catalog(): Catalog {
    return this.#former?.catalog ?? this.#catalog;
  }

  /**
   * Members, to be asked for what is missing here. Before the catalog is open, those that the part of it names which
   * was replayed: of a damaged one the rest may be had from nodes that nothing but this part tells of.
   */
  get members(): readonly CatalogMember[] {
    const { nodes } = this.catalog;
    return nodes.length === 0 && this.#replayed !== undefined ? this.#replayed.nodes : nodes;
  }

  /** The state machine of its partition, which is about to be opened. */
  replaying(): Catalog {
    this.#replayed = new Catalog();
    return this.#replayed;
  }

  /** Its partition is open, and the state brought up to date as far as its log goes. */
  opened(catalog: Catalog): void {
    this.#catalog = catalog;
    this.#replayed = undefined;
  }

  /** Its log, of which so much was applied, is about to be begun anew. */
  lost(appliedIndex: number): void {
    // One that is lost again on its way back has not come to where the first one was.
    this.#former ??= { catalog: this.#catalog, appliedIndex };
  }

  applied(appliedIndex: number): void {
    if (this.#former !== undefined && appliedIndex >= this.#former.appliedIndex) this.#former = undefined;
  }
}
