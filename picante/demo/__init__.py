"""`picante demo`: a store, its gateway and a Kafka, on one machine, in one minute."""
