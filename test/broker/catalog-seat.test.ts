import { expect, test } from 'vitest';
import { Catalog } from '../../src/broker/catalog.ts';
import { CatalogSeat } from '../../src/broker/catalog-seat.ts';

test('a catalog whose log is begun anew is gone by once it has come as far as the one before', () => {
  const seat = new CatalogSeat();
  const first = new Catalog();
  seat.opened(first);
  seat.applied(9);
  seat.lost(9);
  const second = new Catalog();
  seat.opened(second);
  seat.applied(8);
  expect(seat.catalog).toBe(first);
  seat.applied(9);
  expect(seat.catalog).toBe(second);
  // And that is where it stays, whatever is told late.
  seat.applied(3);
  expect(seat.catalog).toBe(second);
});

test('a catalog that is lost again on its way back does not replace the first one', () => {
  const seat = new CatalogSeat();
  const first = new Catalog();
  seat.opened(first);
  seat.lost(9);
  seat.opened(new Catalog());
  seat.applied(4);
  seat.lost(4);
  const third = new Catalog();
  seat.opened(third);
  seat.applied(5);
  expect(seat.catalog).toBe(first);
  seat.applied(10);
  expect(seat.catalog).toBe(third);
});
