import { seedRange } from './seed-range.ts';

seedRange(81, 20);
