"""CT-like abdominal phantoms: example cases with exact reference labels, because patients cannot be shipped.

`fields` smooth random fields · `shapes` ellipsoids and tubes · `anatomy` one patient as a label map ·
`attenuation` Hounsfield units by contrast phase · `scanner` the two sites · `weak` weak labels · `make` whole cases.
Where every number comes from: docs/phantoms.md.
"""
