import { seedRange } from './seed-range.ts';

seedRange(51, 10);
