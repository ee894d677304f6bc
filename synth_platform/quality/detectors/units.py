"""Units of measure and currencies: their spellings, and how many of a base unit each is."""

from functools import cache

# Name, then for units that convert how many of a base unit it is; words; after | what has spaces.
_SPELLINGS = """
percent: % percent prozent|per cent|percentage point|percentage points|por ciento|pour cent
km 1000 m: km kilometer kilometers kilometre kilometres kilómetro kilómetros kilomètre kilomètres kilometern
m 1 m: m meter meters metre metres metro metros mètre mètres metern
cm 0.01 m: cm centimeter centimeters centimetre centimetres centímetro centímetros centimètre centimètres zentimeter
mm 0.001 m: mm millimeter millimeters millimetre millimetres milímetro milímetros millimètre millimètres
sqm 1 sqm: m² sqm|square metre|square metres|square meter|square meters|metros cuadrados|mètres carrés
sqkm 1000000 sqm: km²|square kilometre|square kilometres|square kilometer|square kilometers
sqmile: sqmi|square mile|square miles
cubic: m³|cubic metre|cubic metres|cubic meter|cubic meters|metros cúbicos|mètres cubes
mile: mile miles meile meilen milla millas
nautical: sm|nautical mile|nautical miles
yard: yard yards; foot: foot feet ft; inch: inch inches
kmh: km/h kmh|kilometres per hour|kilometers per hour; mph: mph|miles per hour
kg 1000 g: kg kilogram kilograms kilo kilos kilogramo kilogramos kilogramme kilogrammes kilogramm
g 1 g: g gram grams gramo gramos gramme grammes gramm; mg 0.001 g: mg milligram milligrams
tonne 1000000 g: tonne tonnes ton tons tonelada toneladas tonnen
pound-weight: lb lbs; ounce: ounce ounces oz
litre 1000 ml: l liter liters litre litres litro litros litern
ml 1 ml: ml milliliter milliliters millilitre millilitres; decilitre 100 ml: dl decilitre decilitres deciliter
gallon: gallon gallons; pint: pint pints; cup: cup cups
tablespoon: tablespoon tablespoons tbsp; teaspoon: teaspoon teaspoons tsp
ms 0.001 s: ms millisecond milliseconds
second 1 s: second seconds sec secs segundo segundos seconde secondes sekunden
minute 60 s: minute minutes min mins minuto minutos minuten
hour 3600 s: hour hours hr hrs hora horas heure heures stunden
day 1 day: day days día días jour jours tage tagen
week 7 day: week weeks semana semanas semaine semaines wochen
month: month months mes meses mois monate monaten
year: year years yr yrs año años an ans année années jahre jahren
decade: decade decades; century: century centuries
celsius: °c celsius|degrees celsius; fahrenheit: °f fahrenheit|degrees fahrenheit; degree: degree degrees ° grad grados
dollar: dollar dollars usd dólares; euro: euro euros eur; sterling: pound pounds gbp; yen: yen jpy
rupee: rupee rupees; crown: crown crowns krona kronor kroner kronen; guilder: guilder guilders gulden
franc: franc francs franken; peso: peso pesos; cent: cent cents
byte 1 byte: byte bytes; kb 1000 byte: kb kilobyte kilobytes; mb 1000000 byte: mb megabyte megabytes
gb 1000000000 byte: gb gigabyte gigabytes
watt 1 w: w watt watts; kw 1000 w: kw kilowatt kilowatts; megawatt 1000000 w: mw megawatt megawatts
kwh: kwh|kilowatt hour|kilowatt hours|kilowatt-hour|kilowatt-hours
volt: v volt volts; ampere: amp amps ampere amperes
hertz 1 hz: hz hertz; khz 1000 hz: khz; mhz 1000000 hz: mhz; ghz 1000000000 hz: ghz
calorie: calorie calories kcal; joule 1 j: joule joules; kilojoule 1000 j: kj kilojoule kilojoules
newton: newton newtons; acre: acre acres; hectare 10000 sqm: hectare hectares ha hectárea hectáreas; knot: knot knots
"""
CURRENCIES = {"$": "dollar", "€": "euro", "£": "sterling", "¥": "yen", "₹": "rupee"}


@cache
def spellings() -> dict[str, str]:
    """Unit by how it may be written, in lower case."""
    return {spelling: name for name, _, _, some in _entries() for spelling in some}


@cache
def bases() -> dict[str, tuple[float, str]]:
    """Units that convert: how many of which base unit each is."""
    return {name: (factor, base) for name, factor, base, _ in _entries() if base}


@cache
def phrases() -> tuple[str, ...]:
    """Spellings that are more than letters, the longest first."""
    return tuple(sorted((one for one in spellings() if not one.isalpha()), key=len, reverse=True))


@cache
def _entries() -> tuple[tuple[str, float, str, tuple[str, ...]], ...]:
    entries = []
    for line in _SPELLINGS.strip().replace("\n", ";").split(";"):
        head, _, written = line.strip().partition(": ")
        name, *base = head.split()
        converts = len(base) == 2
        words, *several = written.split("|")
        entries.append(
            (name, float(base[0]) if converts else 1.0, base[1] if converts else "", (*words.split(), *several))
        )
    return tuple(entries)
