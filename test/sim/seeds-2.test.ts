import { seedRange } from './seed-range.ts';

seedRange(168, 40);
