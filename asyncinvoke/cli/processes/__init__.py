"""`asyncinvoke map --processes`: the shards of a run on the cores of one machine."""
