import { seedRange, seedsOfOld } from './seed-range.ts';

seedRange(1, 230);
seedsOfOld(500);
