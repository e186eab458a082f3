/* no licence line */
int licence;
